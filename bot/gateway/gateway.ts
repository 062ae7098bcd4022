// The upload gateway: pages of upload links, and uploads through the bot for browsers that do not reach the agents.

import type { Hono } from 'hono'
import type { OpenBot } from '../open.ts'
import type { Log } from '../system/log.ts'
import { createUploadAssets } from './assets.ts'
import type { UploadAssets } from './assets.ts'
import { createBodySlots } from './body-slots.ts'
import { linkRoutes } from './link-routes.ts'
import type { GatewayEnvironment } from './link-routes.ts'
import { createUploadTurns } from './upload-turns.ts'

/** Largest body that a server with the gateway lets pass, in bytes: one request may bring a whole image, and the agent decides how long it may be. */
export const GATEWAY_BODY_MAX = 2 ** 50

export interface GatewayParts {
  readonly bot: Pick<OpenBot, 'clock' | 'fleet' | 'uploadPages'>
  readonly log: Log
  /** Origin at which people reach the bot. */
  readonly origin: () => string
}

export interface Gateway {
  /** Routes that need no session: the address is the credential. */
  readonly links: Hono<GatewayEnvironment>
  /** What upload pages load. */
  readonly assets: () => Promise<UploadAssets>
}

/** Creates the gateway of a process. */
export function createGateway({ bot, log, origin }: GatewayParts): Gateway {
  const { clock, fleet, uploadPages: pages } = bot
  const parts = { turns: createUploadTurns({ clock }), slots: createBodySlots(), assets: createUploadAssets() }
  return { assets: parts.assets, links: linkRoutes({ ...parts, pages, fleet, clock, log, origin }) }
}
