/** Module name of the memory import that a rewritten module has; its field name is `memory`. */
export const MEMORY_IMPORT = 'manyhands:memory'

export const PAGE_BYTES = 65_536

/** Export of a rewritten module: a global that is 1 once a growth of its memory was refused. */
export const GROWTH_REFUSED = 'manyhands:growth-refused'
