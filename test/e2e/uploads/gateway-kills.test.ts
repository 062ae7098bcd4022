// SIGKILL of the bot and of the agent in the middle of an upload through the bot: one of each, or SLIPWAY_GATEWAY_KILLS of each.

import { expect, test } from 'bun:test'
import { runSeed } from '../../support/properties.ts'
import { killDuringGatewayUpload } from './gateway-kills.ts'

const KILLS = Number(process.env['SLIPWAY_GATEWAY_KILLS'] ?? 1)

test(`an upload survives ${KILLS} kills of the bot and ${KILLS} of the agent`, async () => {
  expect(await killDuringGatewayUpload(KILLS, runSeed())).toMatchObject({ bot: KILLS, agent: KILLS })
}, 600_000)
