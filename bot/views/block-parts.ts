// Blocks that cards, modals and the home tab are made of, each within Slack's limit by construction.

import type { KnownBlock } from '@slack/types'
import { CONTEXT_TEXT_MAX, SECTION_TEXT_MAX } from './slack-limits.ts'
import { slackText } from './slack-text.ts'
import type { Piece } from './slack-text.ts'

/** Returns a paragraph. */
export function section(...pieces: readonly Piece[]): KnownBlock {
  return { type: 'section', text: slackText(pieces, SECTION_TEXT_MAX) }
}

/** Returns a line in small print. */
export function context(...pieces: readonly Piece[]): KnownBlock {
  return { type: 'context', elements: [slackText(pieces, CONTEXT_TEXT_MAX)] }
}
