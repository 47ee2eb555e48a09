/**
 * The header word of a frame: kind in the upper 8 bits, a number in the lower 24: the length of the
 * body of a data frame, the credit granted by a credit frame.
 */
export const FRAME_KIND = { data: 0, credit: 1, end: 2 } as const

/** What a frame costs of the credit beside its body, so that empty frames are not free. */
export const FRAME_COST = 64
