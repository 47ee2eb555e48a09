import { z } from 'zod'
import { LIMITS } from './limits.ts'

/** A safe absolute POSIX path at or below `root`: no empty, `.` or `..` segments, no NUL. */
export const pathBelow = (root: '/in' | '/out') =>
  z
    .string()
    .max(LIMITS.pathBytes)
    .refine(
      (path) =>
        (path === root || path.startsWith(`${root}/`)) &&
        !path.includes('\0') &&
        !path.includes('\\') &&
        path
          .split('/')
          .slice(1)
          .every((part) => part !== '' && part !== '.' && part !== '..'),
      `must be ${root}/… without empty, . or .. segments`,
    )
