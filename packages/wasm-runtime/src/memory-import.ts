/** Module name of the memory import that a rewritten module has; its field name is `memory`. */
export const MEMORY_IMPORT = 'manyhands:memory'

export const PAGE_BYTES = 65_536
