// The upload gateway: pages of upload links, and uploads through the bot for browsers that do not reach the agents.

import type { Hono } from 'hono'
import type { OpenBot } from '../open.ts'
import type { Log } from '../system/log.ts'
import { createUploadAssets } from './assets.ts'
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

/** Creates the gateway of a process. `links` are routes that need no session: the address is the credential. */
export function createGateway({ bot, log, origin }: GatewayParts): { readonly links: Hono<GatewayEnvironment> } {
  const { clock, fleet, uploadPages: pages } = bot
  const parts = { turns: createUploadTurns({ clock }), slots: createBodySlots(), assets: createUploadAssets() }
  return { links: linkRoutes({ ...parts, pages, fleet, clock, log, origin }) }
}
