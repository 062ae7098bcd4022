// The rules by which Slack refuses blocks and modals, written from its documentation and independent of the bot's own rules, so that an
// error in one is not repeated in the other. Works on raw JSON, as Slack does.

type Json = Record<string, unknown>

const MESSAGE_TYPES = new Set(['actions', 'context', 'divider', 'header', 'section', 'image', 'rich_text', 'input'])
const text = (value: unknown): string => (typeof value === 'string' ? value : value === undefined ? '' : JSON.stringify(value))
const isObject = (value: unknown): value is Json => typeof value === 'object' && value !== null && !Array.isArray(value)

/** Returns the first reason why Slack would refuse these blocks; undefined when it would accept them. */
export function blocksRefusal(blocks: unknown, surface: 'message' | 'modal'): string | undefined {
  if (!Array.isArray(blocks)) return 'blocks is not a list'
  const max = surface === 'message' ? 50 : 100
  if (blocks.length > max) return `no more than ${max} items allowed [json-pointer:/blocks] (${blocks.length})`
  const blockIds = new Set<unknown>()
  const actionIds = new Set<unknown>()
  for (const [i, block] of blocks.entries()) {
    const refusal = blockRefusal(block, surface, actionIds)
    if (refusal !== undefined) return `${refusal} [json-pointer:/blocks/${i}]`
    const id = isObject(block) ? block['block_id'] : undefined
    if (id !== undefined && blockIds.has(id)) return `block_id ${text(id)} already exists [json-pointer:/blocks/${i}]`
    blockIds.add(id)
  }
  return undefined
}

/** Returns the first reason why Slack would refuse this view; undefined when it would accept it. */
export function viewRefusal(view: unknown): string | undefined {
  if (!isObject(view) || view['type'] !== 'modal') return 'view is not a modal'
  if (JSON.stringify(view).length > 250_000) return 'view_too_large'
  for (const part of ['title', 'submit', 'close']) {
    if (view[part] === undefined && part !== 'title') continue
    const refusal = textRefusal(view[part], 24, ['plain_text'])
    if (refusal !== undefined) return `${part}: ${refusal}`
  }
  if (text(view['private_metadata']).length > 3000) return 'private_metadata is longer than 3000'
  if (text(view['callback_id']).length > 255) return 'callback_id is longer than 255'
  const blocks = view['blocks']
  const hasInput = Array.isArray(blocks) && blocks.some((block) => isObject(block) && block['type'] === 'input')
  if (hasInput && view['submit'] === undefined) return 'submit is required when there is an input'
  return blocksRefusal(blocks, 'modal')
}

function blockRefusal(block: unknown, surface: 'message' | 'modal', actionIds: Set<unknown>): string | undefined {
  if (!isObject(block) || !MESSAGE_TYPES.has(text(block['type']))) return `unsupported type: ${isObject(block) ? text(block['type']) : typeof block}`
  if (text(block['block_id']).length > 255) return 'block_id is longer than 255'
  switch (block['type']) {
    case 'header':
      return textRefusal(block['text'], 150, ['plain_text'])
    case 'section':
      return sectionRefusal(block)
    case 'context':
      return listRefusal(block['elements'], 10, (element) => textRefusal(element, 2000, ['plain_text', 'mrkdwn']))
    case 'actions':
      return listRefusal(block['elements'], 25, (element) => buttonRefusal(element, actionIds))
    case 'input':
      return inputRefusal(block, surface)
    default:
      return undefined
  }
}

function sectionRefusal(block: Json): string | undefined {
  if (block['text'] === undefined && block['fields'] === undefined) return 'section needs text or fields'
  const refusal = block['text'] === undefined ? undefined : textRefusal(block['text'], 3000, ['plain_text', 'mrkdwn'])
  if (refusal !== undefined) return refusal
  return block['fields'] === undefined ? undefined : listRefusal(block['fields'], 10, (field) => textRefusal(field, 2000, ['plain_text', 'mrkdwn']))
}

function buttonRefusal(element: unknown, actionIds: Set<unknown>): string | undefined {
  if (!isObject(element) || element['type'] !== 'button') return 'only buttons are known to this fake'
  const id = element['action_id']
  if (typeof id !== 'string' || id.length === 0 || id.length > 255) return 'action_id has 1 to 255 characters'
  if (actionIds.has(id)) return `action_id ${id} already exists`
  actionIds.add(id)
  if (text(element['value']).length > 2000) return 'value is longer than 2000'
  if (element['style'] !== undefined && element['style'] !== 'primary' && element['style'] !== 'danger') return `style ${text(element['style'])} is not known`
  return textRefusal(element['text'], 75, ['plain_text'])
}

function inputRefusal(block: Json, surface: 'message' | 'modal'): string | undefined {
  if (surface === 'message') return 'input is for modals'
  const element = block['element']
  if (!isObject(element) || element['type'] !== 'plain_text_input') return 'only plain_text_input is known to this fake'
  const placeholder = element['placeholder'] === undefined ? undefined : textRefusal(element['placeholder'], 150, ['plain_text'])
  if (placeholder !== undefined) return `placeholder: ${placeholder}`
  const hint = block['hint'] === undefined ? undefined : textRefusal(block['hint'], 2000, ['plain_text'])
  return hint ?? textRefusal(block['label'], 2000, ['plain_text'])
}

function listRefusal(list: unknown, max: number, each: (element: unknown) => string | undefined): string | undefined {
  if (!Array.isArray(list) || list.length === 0) return 'at least one element is needed'
  if (list.length > max) return `no more than ${max} elements allowed (${list.length})`
  for (const element of list) {
    const refusal = each(element)
    if (refusal !== undefined) return refusal
  }
  return undefined
}

function textRefusal(element: unknown, max: number, types: readonly string[]): string | undefined {
  if (!isObject(element) || !types.includes(String(element['type']))) return `text must be ${types.join(' or ')}`
  const given = element['text']
  if (typeof given !== 'string' || given.length === 0) return 'must be more than 0 characters [json-pointer:/text]'
  return given.length > max ? `must be less than ${max + 1} characters (${given.length})` : undefined
}
