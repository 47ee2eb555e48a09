import { LIMITS } from '../limits.ts'
import { MemoryFiles } from './memory-files.ts'

/** The files of this page: of all its clients, and gone with it. */
export const memoryFiles = new MemoryFiles(LIMITS.browserFilesBytes)
memoryFiles.mkdir('/tmp')
