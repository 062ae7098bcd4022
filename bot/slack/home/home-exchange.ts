// The exchange of a press in the home tab or in a window that it opened: Slack sends no channel and no response_url, so the answer is a window. It opens at
// once, because a trigger expires after three seconds and agents may take longer.

import type { Button, KnownBlock, ModalView } from '@slack/types'
import type { SlackMessage } from '../../views/blocks.ts'
import type { Exchange } from '../exchange.ts'
import { answerModal, loadingModal } from '../modals.ts'
import { HOME_ACTION } from './page.ts'

const TITLE = 'Slipway'
const CARD_TEXT = 'A message under Messages of this app shows the progress.'

export interface HomeWindow {
  readonly exchange: Exchange
  /** Says in the window where the answer is, unless the window shows it. */
  settle(): Promise<void>
}

export interface HomeWindowDeps {
  readonly user: { readonly id: string; readonly name: string }
  /** Opens the window, or returns the id of the one in which the button is; undefined when the trigger has expired. */
  readonly open: (view: ModalView) => Promise<string | undefined>
  readonly update: (viewId: string, view: ModalView) => Promise<void>
  /** Sends a message to the person when there is no window. */
  readonly whisper: (message: SlackMessage) => Promise<void>
}

/** Opens the window of a press. */
export function openHomeWindow({ user, open, update, whisper }: HomeWindowDeps): HomeWindow {
  const opened = open(loadingModal(TITLE))
  let isShown = false
  const exchange: Exchange = {
    user: user.id,
    userName: user.name,
    channel: user.id,
    isCardless: true,
    async respond({ text, blocks }) {
      isShown = true
      const id = await opened
      const isUpdated = id !== undefined && (await isDone(update(id, { ...answerModal(TITLE, []), blocks: blocks.map(homeButtons) })))
      // The trigger had expired, or the person has closed the window: what a write did must not be lost.
      if (!isUpdated) await whisper({ text, blocks })
      return 'sent'
    },
    async openModal(view) {
      isShown = true
      const id = await opened
      if (id !== undefined) await update(id, view)
      return id
    },
  }
  return {
    exchange,
    async settle() {
      const id = await opened
      if (!isShown && id !== undefined) await update(id, answerModal(TITLE, [{ type: 'section', text: { type: 'plain_text', text: CARD_TEXT } }]))
    },
  }
}

async function isDone(work: Promise<void>): Promise<boolean> {
  try {
    await work
    return true
  } catch {
    return false
  }
}

/** The block with buttons whose presses are answered in the same window. */
function homeButtons(block: KnownBlock): KnownBlock {
  if (block.type !== 'actions') return block
  const elements = block.elements.map((element) =>
    element.type === 'button' ? ({ ...element, action_id: `${HOME_ACTION}${element.action_id ?? ''}` } satisfies Button) : element,
  )
  return { ...block, elements }
}
