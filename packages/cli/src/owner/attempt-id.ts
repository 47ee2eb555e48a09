import type { ControlClient } from '@manyhands/control/client'
import { ManyhandsError } from '@manyhands/core'

/** Shorter beginnings are more likely a slip than a choice. */
const MIN_PREFIX = 4

/**
 * Acts on an attempt by its id, or by a beginning of it that fits one attempt only. The full id is
 * tried first: an owner in a hurry waits for one request, not for two.
 *
 * @throws NOT_FOUND, also when a beginning fits several
 */
export async function withAttempt<Value>(
  control: ControlClient,
  id: string,
  act: (id: string) => Promise<Value>,
): Promise<{ id: string; value: Value }> {
  try {
    return { id, value: await act(id) }
  } catch (error) {
    if ((error as Partial<ManyhandsError>).code !== 'NOT_FOUND' || id.length < MIN_PREFIX)
      throw error
    const fits = (await control.attempts()).filter((attempt) => attempt.id.startsWith(id))
    if (fits.length > 1) {
      throw new ManyhandsError('NOT_FOUND', `${fits.length} attempts begin with ${id}`, {
        hint: 'Give more of the id.',
      })
    }
    const found = fits[0]?.id
    if (found === undefined || found === id) throw error
    return { id: found, value: await act(found) }
  }
}
