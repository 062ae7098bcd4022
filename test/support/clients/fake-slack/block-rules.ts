// The rules by which Slack refuses the blocks of messages, modals and home tabs, and views as a whole.

import { inputElementRefusal, interactiveRefusal } from './element-rules.ts'
import { isObject, textOf } from './shown.ts'
import type { Json } from './shown.ts'
import { addressRefusal, firstRefusal, lengthRefusal, listRefusal, optional, plainRefusal, textRefusal } from './text-rules.ts'
import type { Refusal } from './text-rules.ts'

/** Where blocks are shown. */
export type Surface = 'message' | 'modal' | 'home'

const BLOCKS_MAX: Record<Surface, number> = { message: 50, modal: 100, home: 100 }
const ON_EVERY_SURFACE = ['actions', 'context', 'divider', 'header', 'section', 'image', 'rich_text']
const TYPES: Record<Surface, ReadonlySet<string>> = {
  message: new Set([...ON_EVERY_SURFACE, 'markdown']),
  modal: new Set([...ON_EVERY_SURFACE, 'input']),
  home: new Set([...ON_EVERY_SURFACE, 'input']),
}
/** Characters of all markdown blocks of a message together. */
const MARKDOWN_MAX = 12_000
const VIEW_BYTES_MAX = 250_000

/** Returns the first reason why Slack would refuse these blocks; undefined when it would accept them. */
export function blocksRefusal(blocks: unknown, surface: Surface): Refusal {
  if (!Array.isArray(blocks)) return 'blocks is not a list'
  const max = BLOCKS_MAX[surface]
  if (blocks.length > max) return `no more than ${max} items allowed [json-pointer:/blocks] (${blocks.length})`
  const blockIds = new Set<unknown>()
  let markdown = 0
  for (const [i, block] of blocks.entries()) {
    const refusal = blockRefusal(block, surface)
    if (refusal !== undefined) return `${refusal} [json-pointer:/blocks/${i}]`
    if (!isObject(block)) continue
    const id = block['block_id']
    if (id !== undefined && blockIds.has(id)) return `block_id ${textOf(id)} already exists [json-pointer:/blocks/${i}]`
    blockIds.add(id)
    if (block['type'] === 'markdown') markdown += textOf(block['text']).length
  }
  return markdown > MARKDOWN_MAX ? `markdown has more than ${MARKDOWN_MAX} characters (${markdown})` : undefined
}

/** Returns the first reason why Slack would refuse this modal or home tab; undefined when it would accept it. */
export function viewRefusal(view: unknown, surface: 'modal' | 'home' = 'modal'): Refusal {
  if (!isObject(view) || view['type'] !== surface) return `view is not a ${surface}`
  if (Buffer.byteLength(JSON.stringify(view)) > VIEW_BYTES_MAX) return 'view_too_large'
  return firstRefusal([
    () => (surface === 'modal' ? frameRefusal(view) : homeFrameRefusal(view)),
    () => lengthRefusal(view, 'private_metadata', 3000),
    () => lengthRefusal(view, 'callback_id', 255),
    () => lengthRefusal(view, 'external_id', 255),
    () => blocksRefusal(view['blocks'], surface),
  ])
}

/** The frame of a modal: its title and the texts of its buttons. */
function frameRefusal(view: Json): Refusal {
  const { blocks } = view
  const hasInput = Array.isArray(blocks) && blocks.some((block) => isObject(block) && block['type'] === 'input')
  const title = plainRefusal(view['title'], 24)
  return firstRefusal([
    () => (title === undefined ? undefined : `title: ${title}`),
    () => optional(view, 'submit', (value) => plainRefusal(value, 24)),
    () => optional(view, 'close', (value) => plainRefusal(value, 24)),
    () => (hasInput && view['submit'] === undefined ? 'submit is required when there is an input' : undefined),
  ])
}

/** A home tab has no frame. */
function homeFrameRefusal(view: Json): Refusal {
  const unknown = ['title', 'submit', 'close'].find((part) => view[part] !== undefined)
  return unknown === undefined ? undefined : `${unknown} is not allowed in a home tab`
}

function blockRefusal(block: unknown, surface: Surface): Refusal {
  if (!isObject(block) || !TYPES[surface].has(textOf(block['type']))) return `unsupported type: ${isObject(block) ? textOf(block['type']) : typeof block}`
  const id = block['block_id']
  if (id !== undefined && (typeof id !== 'string' || id.length === 0 || id.length > 255)) return 'block_id has 1 to 255 characters'
  const actionIds = new Set<string>()
  switch (block['type']) {
    case 'header':
      return plainRefusal(block['text'], 150)
    case 'section':
      return sectionRefusal(block, actionIds)
    case 'context':
      return listRefusal(block['elements'], 10, contextRefusal)
    case 'actions':
      return listRefusal(block['elements'], 25, (element) => interactiveRefusal(element, actionIds))
    case 'input':
      return inputRefusal(block)
    case 'image':
      return imageRefusal(block) ?? optional(block, 'title', (title) => plainRefusal(title, 2000))
    case 'markdown':
      return textOf(block['text']) === '' ? 'markdown needs text' : undefined
    default:
      return undefined
  }
}

function sectionRefusal(block: Json, actionIds: Set<string>): Refusal {
  if (block['text'] === undefined && block['fields'] === undefined) return 'section needs text or fields'
  return firstRefusal([
    () => (block['text'] === undefined ? undefined : textRefusal(block['text'], 3000)),
    () => (block['fields'] === undefined ? undefined : listRefusal(block['fields'], 10, (field) => textRefusal(field, 2000))),
    () => optional(block, 'accessory', (accessory) => accessoryRefusal(accessory, actionIds)),
  ])
}

function accessoryRefusal(accessory: unknown, actionIds: Set<string>): Refusal {
  return isObject(accessory) && accessory['type'] === 'image' ? imageRefusal(accessory) : interactiveRefusal(accessory, actionIds)
}

function contextRefusal(element: unknown): Refusal {
  return isObject(element) && element['type'] === 'image' ? imageRefusal(element) : textRefusal(element, 2000)
}

function imageRefusal(image: Json): Refusal {
  if (textOf(image['alt_text']) === '') return 'alt_text is needed'
  return lengthRefusal(image, 'alt_text', 2000) ?? addressRefusal(image, 'image_url')
}

function inputRefusal(block: Json): Refusal {
  const label = plainRefusal(block['label'], 2000)
  return firstRefusal([
    () => (label === undefined ? undefined : `label: ${label}`),
    () => optional(block, 'hint', (hint) => plainRefusal(hint, 2000)),
    () => inputElementRefusal(block['element']),
  ])
}
