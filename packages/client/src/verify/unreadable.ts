/**
 * A file of a result that cannot be read as what its comparator compares. It equals nothing: not even
 * another one with the same bytes. Never leaves the comparison.
 */
export class Unreadable extends Error {
  override readonly name = 'Unreadable'
}
