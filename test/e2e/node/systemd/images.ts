// Uploads and compares images with curl on the node, so that tests see how the lines of documents affect them.

import { expect } from 'bun:test'
import { until } from '../../../support/until.ts'
import { BASE } from './node.ts'
import type { Node } from './node.ts'

/** Uploads `mib` MiB of random bytes in one request; returns the status of the response. */
export async function upload({ machine, ask }: Node, name: string, mib: number): Promise<number> {
  const file = `/root/${name}.raw`
  await machine().must('dd', 'if=/dev/urandom', `of=${file}`, 'bs=1M', `count=${mib}`, 'status=none')
  const headers = [
    'Tus-Resumable: 1.0.0',
    `Upload-Length: ${mib * 2 ** 20}`,
    `Upload-Metadata: name ${btoa(name)},format ${btoa('raw')}`,
    'Content-Type: application/offset+octet-stream',
  ].flatMap((header) => ['-H', header])
  const sent = await ask('-o', '/dev/null', '-w', '%{http_code}', ...headers, '--data-binary', `@${file}`, `${BASE}/v1/uploads`)
  return Number(sent.stdout)
}

/** Uploads an image and waits until it is available. */
export async function uploadImage(node: Node, name: string, mib: number): Promise<void> {
  expect(await upload(node, name, mib)).toBe(201)
  await until(`${name} is available`, async () => (await node.ask(`${BASE}/v1/images/${name}`)).stdout.includes('"status":"available"'))
}

/** Checks that an image has the bytes that were uploaded. */
export async function expectSameBytes({ machine, ask }: Node, name: string): Promise<void> {
  await ask('-f', '-o', '/root/back.raw', `${BASE}/v1/images/${name}/content`)
  await machine().must('cmp', `/root/${name}.raw`, '/root/back.raw')
}
