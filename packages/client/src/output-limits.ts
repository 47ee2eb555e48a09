/** Outputs that are fetched at once, over all hosts. */
export const FETCHES = 16
