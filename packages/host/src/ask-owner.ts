import type { AdmissionRequest, RuleVerdict } from './admission-request.ts'
import type { PolicyBook } from './policy-book.ts'

/** How long the owner's own function may think, ms. */
const ADMIT_TIMEOUT_MS = 5_000

/** Asks the owner's function; anything but a timely yes is a no. */
export async function askOwner(
  request: AdmissionRequest,
  policy: PolicyBook,
): Promise<RuleVerdict | undefined> {
  const { admit } = policy.rules
  if (admit === undefined) return undefined
  const no = (detail: string): RuleVerdict => ({
    rule: 'admit',
    allowed: false,
    detail,
    temporary: false,
  })
  let timer: NodeJS.Timeout | undefined
  try {
    const answer = await Promise.race([
      admit(structuredClone(request)),
      new Promise<undefined>((resolve) => {
        timer = setTimeout(() => resolve(undefined), ADMIT_TIMEOUT_MS)
      }),
    ])
    if (answer === undefined) return no('the owner’s own rule did not answer in time')
    return answer ? undefined : no('the owner’s own rule says no')
  } catch {
    return no('the owner’s own rule failed')
  } finally {
    clearTimeout(timer)
  }
}
