import { readFile } from 'node:fs/promises'
import type { JobSpec } from '@manyhands/core'
import { wasm } from '@manyhands/wasm-runtime'
import { expect, it, onTestFinished } from 'vitest'
import { testProgram } from '../../wasm-runtime/test/programs.ts'
import { createLocalNetwork } from '../src/index.ts'
import { networkForTests } from './network-for-tests.ts'

const tested = networkForTests()

it('a module is given as its bytes or as a Blob, and is the same image', async () => {
  const { client, hosts, close } = await createLocalNetwork({ hosts: 1, runtimes: () => [wasm()] })
  onTestFinished(close)
  const path = await testProgram()
  const bytes = await readFile(path)
  const received: number[] = []
  for (const image of [path, new Uint8Array(bytes), new Blob([bytes])]) {
    const spec: JobSpec = { runtime: 'wasm', image, command: ['program', 'exit', '0'], tasks: '1' }
    const { phase } = await client.run(spec)
    expect(phase).toBe('completed')
    received.push(hosts[0]!.totals().transfer.received)
  }
  // It went there once.
  expect(new Set(received).size).toBe(1)
})

it('bytes that are no module are refused before anybody gets them', async () => {
  const { client } = await tested.network()
  for (const image of [new Uint8Array(7), new Blob(['#!/bin/sh'])]) {
    const submitted = client.submit({ runtime: 'wasm', image, tasks: '1' })
    await expect(submitted).rejects.toMatchObject({ code: 'IMAGE_INVALID' })
  }
})

it('an input may be a Blob', async () => {
  const { client } = await tested.network()
  const job = await client.submit({
    runtime: 'scripted',
    image: 'any',
    command: ['run', '--cat', '/in/text'],
    inputs: { '/in/text': new Blob(['given ', 'in parts']) },
    tasks: '1',
  })
  const [result] = await Array.fromAsync(job.results())
  expect([result!.ok, result!.stdoutTail]).toEqual([true, 'given in parts'])
})
