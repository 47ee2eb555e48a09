import { z } from 'zod'

export const digestSchema = z.string().regex(/^sha256:[0-9a-f]{64}$/)
/** Ids become file and container names on the host: nothing but letters, digits and dashes in them. */
export const attemptIdSchema = z.string().regex(/^[a-z0-9-]{1,80}\.\d{1,9}$/)
export const jobIdSchema = z.string().regex(/^[a-z0-9-]{1,64}$/)
/** 16 bytes in hexadecimal. */
export const nonceSchema = z.string().regex(/^[0-9a-f]{32}$/)
