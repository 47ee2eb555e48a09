/** A program as its owner calls it: `C:\\Games\\Neverball.exe` is `neverball`, `/usr/bin/Steam` is `steam`. */
export function programName(path: string): string {
  const name = path.slice(Math.max(path.lastIndexOf('/'), path.lastIndexOf('\\')) + 1)
  return name
    .toLowerCase()
    .replace(/\.exe$/, '')
    .trim()
}
