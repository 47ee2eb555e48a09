// What stands for node:process in a browser: facts, and no more of them than are asked for.

export const platform = 'browser'
export const pid = 1

/** The global of that name. */
export const process = { platform, pid }
