/** What stays for later jobs, when a client does not say. */
export const DEFAULT_KEEP = '10GiB'
export const DEFAULT_IMAGE_CACHE = '20GiB'
