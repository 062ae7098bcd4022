// Reading at the address of an upload: where its image is, and how long a request waits for the inspection of the image. The clock is moved by hand.

import { describe, expect, test } from 'bun:test'
import { imageOfUpload, redirectToContent } from '../../../../../agent/http/routes/uploads/upload-content.ts'
import type { UploadContext } from '../../../../../agent/http/uploads/upload-protocol.ts'
import type { Image } from '../../../../../protocol/images/image.ts'
import { createManualClock } from '../../../../support/memory/manual-clock.ts'

/** An upload that became an image with this status; `imageId` null is an upload that did not. */
function createScene(status: Image['status'] | undefined, imageId: string | null = 'img_1') {
  const clock = createManualClock()
  const client = new AbortController()
  const state = { status, looks: 0 }
  const deps = {
    clock,
    uploads: { peek: async (id: string) => ({ id, offset: 0, length: 5, metadata: null, concat: null, expiresAtMs: null, imageId }) },
    images: {
      find() {
        state.looks++
        return state.status === undefined ? undefined : { status: state.status }
      },
    },
  }
  const request = new Request('http://store/v1/uploads/upl_1', { signal: client.signal })
  const context = { request, actor: { name: 'ann', role: 'uploader', tokenId: 'tok_1' } } as unknown as UploadContext
  let answer: Response | undefined
  const reading = redirectToContent(deps, context, 'upl_1').then((made) => (answer = made))
  return { clock, client, state, reading, deps, context, isAnswered: () => answer !== undefined }
}

const settle = () => Bun.sleep(0)

describe('an upload that became an image', () => {
  test('is read at the content of the image', async () => {
    const { reading, deps, context } = createScene('available')
    const answer = await reading
    expect([answer.status, answer.headers.get('location')]).toEqual([303, '/v1/images/img_1/content'])
    expect(await imageOfUpload(deps, context, 'upl_1')).toBe('img_1')
  })

  test('is read as soon as the image was inspected', async () => {
    const { clock, state, reading, isAnswered } = createScene('creating')
    await clock.untilSleeping(1)
    clock.advance(49)
    await settle()
    expect([isAnswered(), state.looks]).toEqual([false, 1])
    state.status = 'available'
    clock.advance(1)
    expect((await reading).status).toBe(303)
    expect(state.looks).toBe(2)
  })

  test('is answered after five seconds of an inspection that takes longer', async () => {
    const { clock, reading, state, isAnswered } = createScene('creating')
    for (let ms = 0; ms < 4950; ms += 50) {
      await clock.untilSleeping(1)
      clock.advance(50)
    }
    await clock.untilSleeping(1)
    expect([isAnswered(), state.looks]).toEqual([false, 100])
    clock.advance(50)
    expect((await reading).headers.get('location')).toBe('/v1/images/img_1/content')
  })

  test('is not waited for when its client has left, or when the image is gone', async () => {
    const { clock, client, reading, state } = createScene('creating')
    await clock.untilSleeping(1)
    client.abort()
    clock.advance(50)
    await reading
    expect(state.looks).toBe(2)
    expect((await createScene(undefined).reading).status).toBe(303)
  })
})

test('an upload that is not an image yet is refused, and says what to do', async () => {
  const { reading } = createScene(undefined, null)
  const refusal: unknown = await reading.catch((error: unknown) => error)
  expect(refusal).toMatchObject({
    code: 'wrong-status',
    problem: { detail: 'Upload upl_1 is not an image yet.', action: 'Send the rest of its bytes, then read the image.' },
  })
})
