import { ManyhandsError } from './errors.ts'

const SLOT = /\{\{\s*([A-Za-z_][\w.]*)\s*\}\}/g

/**
 * Replaces `{{item}}`, `{{item.field}}` and `{{index}}` in one argument. Values are put in as they are:
 * there is no shell behind, so nothing needs quoting.
 *
 * @throws SPEC_INVALID when a slot names something that the item does not have
 */
export function fillTemplate(text: string, item: unknown, index: number): string {
  if (!text.includes('{{')) return text
  return text.replace(SLOT, (whole, path: string) => {
    if (path === 'index') return String(index)
    const [head, ...fields] = path.split('.')
    if (head !== 'item') throw unknown(whole, 'use {{item}}, {{item.field}} or {{index}}')
    let value: unknown = item
    for (const field of fields) {
      if (value === null || typeof value !== 'object' || !Object.hasOwn(value, field)) {
        throw unknown(whole, `item ${index} has no such field`)
      }
      value = (value as Record<string, unknown>)[field]
    }
    if (value === null || value === undefined)
      throw unknown(whole, `item ${index} has no value there`)
    return typeof value === 'object' ? JSON.stringify(value) : String(value)
  })
}

function unknown(slot: string, why: string): ManyhandsError {
  return new ManyhandsError('SPEC_INVALID', `template ${slot}: ${why}`)
}
