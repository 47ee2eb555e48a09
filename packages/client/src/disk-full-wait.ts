/** How long a full disk of this computer is waited for before something is written again, ms. */
export const DISK_FULL_WAIT_MS = 10_000
