declare module 'picomatch' {
  interface Options {
    dot?: boolean
    nonegate?: boolean
  }
  export default function picomatch(
    glob: string | string[],
    options?: Options,
  ): (path: string) => boolean
}
