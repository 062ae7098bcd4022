// Runs the conformance suite against Slipway's own server, on a real socket.

import { afterAll, beforeAll, describe, expect, test } from 'bun:test'
import { startUploadServer } from '../../support/agents/upload-server.ts'
import type { UploadServer } from '../../support/agents/upload-server.ts'
import { CASES, judge } from './run.ts'
import { Target } from './suite.ts'

const ORIGIN = 'https://console.example'

describe('tus 1.0.0', () => {
  let server: UploadServer
  let target: Target

  beforeAll(async () => {
    server = await startUploadServer({}, [ORIGIN])
    target = await Target.open({ url: server.endpoint, headers: { Authorization: 'Bearer admin-secret' }, origin: ORIGIN })
  })
  afterAll(() => server[Symbol.asyncDispose]())

  for (const one of CASES) {
    test(`row ${one.row}: ${one.name}`, async () => {
      const { outcome, detail } = await judge(target, one)
      expect({ outcome, detail }).toEqual({ outcome: 'passed', detail: '' })
    }, 60_000)
  }
})
