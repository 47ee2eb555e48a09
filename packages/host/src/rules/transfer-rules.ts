import type { Rule } from './rule.ts'

/** Whether the owner's connection still has room for what a task needs and for what it will write. */
export const TRANSFER_RULES: Rule[] = [
  {
    name: 'transfer.daily.download',
    temporary: true,
    refuse: ({ artifacts = [], offeredImage, imageNames }, { transfer, holds }) => {
      const full = transfer.usedUp('down')
      if (full === undefined) return undefined
      const missing = artifacts.filter((root) => !holds(root)).length
      if (offeredImage !== undefined && imageNames === undefined) {
        return `its image would have to come here, and ${full}`
      }
      if (missing === 0) return undefined
      return `${missing} of its ${artifacts.length} inputs would have to come here, and ${full}`
    },
    allow: (_, { transfer }) => transfer.standing('down'),
  },
  {
    name: 'transfer.daily.upload',
    temporary: true,
    refuse: (_, { transfer }) => {
      const full = transfer.usedUp('up')
      return full === undefined ? undefined : `its results could not leave: ${full}`
    },
    allow: (_, { transfer }) => transfer.standing('up'),
  },
]
