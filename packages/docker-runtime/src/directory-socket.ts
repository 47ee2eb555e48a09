import { constants } from 'node:fs'
import { chmod, type FileHandle, open, rm } from 'node:fs/promises'
import type { Server, Socket } from 'node:net'
import { join } from 'node:path'

/**
 * A listening unix socket in a directory whose path may be longer than the 107 bytes that a socket's
 * address takes: the kernel is given a short name for the same directory.
 */
export class DirectorySocket {
  readonly #server: Server
  readonly #directory: FileHandle
  readonly #sockets = new Set<Socket>()
  #closed: Promise<void> | undefined
  #stopped: Promise<void> | undefined
  #drained: Promise<void> | undefined

  private constructor(server: Server, directory: FileHandle) {
    this.#server = server
    this.#directory = directory
    server.on('connection', (socket: Socket) => {
      this.#sockets.add(socket)
      socket.once('close', () => this.#sockets.delete(socket))
    })
  }

  /** What has this name already, left by a process that died, is replaced. */
  static async listen(server: Server, directory: string, name: string): Promise<DirectorySocket> {
    await rm(join(directory, name), { force: true })
    const handle = await open(directory, constants.O_RDONLY | constants.O_DIRECTORY)
    try {
      const listening = Promise.withResolvers<void>()
      server.once('error', listening.reject)
      server.listen(`/proc/self/fd/${handle.fd}/${name}`, listening.resolve)
      await listening.promise
      server.off('error', listening.reject)
      server.unref()
      // The directory lets in the container and us alone; whom the task is mapped to is not known.
      await chmod(join(directory, name), 0o666)
      return new DirectorySocket(server, handle)
    } catch (error) {
      server.close()
      await handle.close()
      throw error
    }
  }

  /** Takes no more connections; those that there are go on. */
  async stopListening(): Promise<void> {
    this.#stopped ??= this.#stop()
    await this.#stopped
  }

  /** Ends every connection too. */
  close(): Promise<void> {
    this.#closed ??= this.#close()
    return this.#closed
  }

  async #stop(): Promise<void> {
    // The name goes at once; what is waited for are the connections.
    this.#drained = new Promise<void>((resolve) => this.#server.close(() => resolve()))
    // Not before: the server removes its name through it.
    await this.#directory.close()
  }

  async #close(): Promise<void> {
    const stopped = this.stopListening()
    for (const socket of this.#sockets) socket.destroy()
    await stopped
    await this.#drained
  }
}
