import { basename } from 'node:path'
import { ManyhandsError, type RuntimeSpec } from '@manyhands/core'

/** What a module gets as its arguments and its environment. @throws COMMAND_INVALID */
export function programOf(
  spec: Pick<RuntimeSpec, 'attemptId' | 'command' | 'args' | 'env'>,
  image: string,
): { argv: string[]; environment: string[] } {
  const strings = [
    ...(spec.command ?? []),
    ...(spec.args ?? []),
    ...Object.entries(spec.env).flat(),
  ]
  if (strings.some((string) => string.includes('\0'))) {
    throw new ManyhandsError(
      'COMMAND_INVALID',
      `an argument or variable of attempt ${spec.attemptId} contains a zero byte`,
      { hint: 'Arguments and variables end at their first zero byte; leave it out.' },
    )
  }
  return {
    argv: spec.command ?? [basename(image), ...(spec.args ?? [])],
    environment: Object.entries(spec.env).map(([name, value]) => `${name}=${value}`),
  }
}
