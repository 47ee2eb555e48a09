import type { FrameStream } from '../network/network.ts'
import { encodeDocument } from '../wire/codec.ts'

// Stands for transfer/side-sockets.ts in a browser, which has no sockets but those of its connections.

export class SideSockets {
  expect(): void {}

  async open(): Promise<undefined> {
    return undefined
  }

  async answer(control: FrameStream): Promise<void> {
    if ((await control.next()) !== undefined) await control.send(encodeDocument({ ok: false }))
  }

  cut(): void {}
}
