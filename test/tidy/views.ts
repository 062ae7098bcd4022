// Finds views of bytes that leave the function that created them. A view is valid only while its buffer is unchanged: once the buffer is
// filled again, the view has other bytes. A view that is returned, yielded, stored or captured is out of sight of the code that refills its
// buffer, so every such function is listed in VIEWS_HANDED_OUT with the reason why its buffer does not change.

import { isNode, parseFile, walk } from './source-tree.ts'
import type { SourceFile, SyntaxNode } from './source-tree.ts'

/** Functions that hand out views, as `path function`, and why the buffer behind each view is never filled again. */
export const VIEWS_HANDED_OUT: Readonly<Record<string, string>> = {
  'agent/browse/browser.ts readPieces': 'each piece has a buffer of its own',
  'agent/convert/decompress.ts grainBytes': 'the bytes of a group of clusters belong to the job that read them and are never written to again',
  'agent/convert/guest-reader.ts loadCompressed': 'each cluster is decompressed into a buffer of its own',
  'agent/convert/writers/qcow2.ts clip': 'parts have buffers of their own or are zeros that are never written to',
  'agent/convert/writers/qcow2.ts fileParts': 'each table is made for one part',
  'agent/convert/writers/vhd.ts parts': 'the footer belongs to the conversion and is never written to again',
  'agent/http/routes/converted-content.ts piecesOf': 'the zeros are never written to',
  'agent/images/formats/probe.ts filled': 'valid until the next read, as the contract of readAt says',
  'agent/images/formats/probe.ts readAt': 'valid until the next read, as its contract says; the table of images is also inspected with a single block',
  'agent/images/formats/format.ts viewOf': 'the view is read before the function that asked for it awaits anything',
  'agent/images/formats/vmdk/tables.ts readTables': 'the numbers of the tables are allocated here and handed over',
  'agent/images/unpack/unpacked-stream.ts unpackStream': 'the worker transfers each buffer to this thread and does not keep it',
  'agent/imports/http/response.ts fixedBody': 'a piece of a socket has a buffer that is read once, and the rest of it goes to the next reader',
  'agent/imports/source-stream.ts pass': 'a piece belongs to its consumer, as the contract of a source says',
  'agent/server/request-body.ts take': 'only a piece that fills its buffer is handed on, which nothing else refers to then; others are copied',
  'agent/slices/write/segment-store.ts append': 'the buffers return to the free list only after the append has resolved',
  'agent/slices/read/records.ts frameOf': 'every read of a pack has a buffer of its own',
  'agent/slices/read/windows.ts pieces': 'slices and gathered pieces have buffers of their own; the zeros are never written to',
  'agent/slices/packs/pack-scan.ts createWindow': 'the walk is done with the bytes of a record before it reads the next ones',
  'agent/slices/read/records.ts readPlan': 'the buffer is allocated here and handed over whole',
  'agent/slices/index/run-file.ts constructor': 'the tables belong to the run and are never written to',
  'agent/system/disk.ts readFile': 'the buffer is allocated here and handed over whole',
  'agent/uploads/record/journal-scan.ts bytesAt': 'valid until the next call; decodeRecord copies what it returns',
  'agent/uploads/record/journal-state.ts records': 'the caller of append keeps its bytes as they are until it resolves',
  'agent/visibility/merge.ts module': 'two views of the same buffer, which belongs to the cursor',
  'agent/visibility/run-file.ts module': 'three views of the same buffer, which belongs to the run and is read before the next block is',
  'agent/visibility/run-writer.ts module': 'three views of the same buffer, which belongs to the writer',
  'agent/visibility/sort.ts gather': 'the buffer is allocated here and handed over whole',
  'agent/visibility/sort.ts sortRows': 'the buffers are allocated for this pass and handed over',
  'bot/console/slice-frames.ts sentFrames': 'two buffers alternate, and a run is copied into its body before the run after the next begins',
  'protocol/client/manifest-client.ts readManifest': 'a body gives its pieces away; nothing refills them',
  'protocol/slices/frames.ts exactly': 'a stream gives its pieces away; nothing refills them',
  'protocol/slices/manifest-file.ts pieces': 'blocks have buffers of their own and are never written to',
  'protocol/slices/manifest-file.ts readBlock': 'the buffer is allocated by readExactly and handed over whole',
  'protocol/slices/manifest.ts pieces': 'the bytes of a manifest are never written to',
}

/** Methods that keep their argument; of `set` it is the second argument, which is a number in a typed array's `set`. */
const KEEPING = new Set(['push', 'unshift', 'add', 'resolve', 'enqueue', 'postMessage'])
const VIEW_CLASSES = /^(?:DataView|Buffer|(?:Big)?(?:Int|Uint|Float)\d+(?:Clamped)?Array)$/
/** Nodes whose value is or contains that of one of their parts. */
const TRANSPARENT = new Set([
  'ConditionalExpression',
  'LogicalExpression',
  'AwaitExpression',
  'TSAsExpression',
  'TSNonNullExpression',
  'ParenthesizedExpression',
  'ChainExpression',
  'SpreadElement',
  'ArrayExpression',
  'ObjectExpression',
  'Property',
])
const FUNCTIONS = new Set(['FunctionDeclaration', 'FunctionExpression', 'ArrowFunctionExpression'])

type Parents = ReadonlyMap<SyntaxNode, SyntaxNode>

/** Returns every function of a file that hands out a view, as `path function`, each once. */
export function viewsHandedOut(file: SourceFile): string[] {
  const program = parseFile(file)
  const parents = parentsOf(program)
  const found = new Set<string>()
  for (const node of walk(program)) {
    if (isView(node) && isHandedOut(node, parents, new Set())) found.add(`${file.path} ${functionName(node, parents)}`)
  }
  return [...found].toSorted()
}

function parentsOf(program: SyntaxNode): Parents {
  const parents = new Map<SyntaxNode, SyntaxNode>()
  for (const node of walk(program)) {
    for (const member of Object.values(node)) for (const child of Array.isArray(member) ? member : [member]) if (isNode(child)) parents.set(child, node)
  }
  return parents
}

/** Returns whether a node is `bytes.subarray(…)`, `new Uint8Array(buffer, at, …)`, `new Uint8Array(bytes.buffer)` or `Buffer.from(buffer, at, …)`. */
function isView(node: SyntaxNode): boolean {
  const args = Array.isArray(node['arguments']) ? node['arguments'].filter(isNode) : []
  const callee = isNode(node['callee']) ? node['callee'] : undefined
  if (!callee) return false
  if (node.type === 'NewExpression') return VIEW_CLASSES.test(nameOf(callee)) && (args.length > 1 || memberName(args[0]) === 'buffer')
  if (node.type !== 'CallExpression') return false
  if (memberName(callee) === 'subarray') return true
  const isBufferFrom = memberName(callee) === 'from' && isNode(callee['object']) && nameOf(callee['object']) === 'Buffer'
  return isBufferFrom && (memberName(args[0]) === 'buffer' || (args.length > 1 && args[1]?.type !== 'Literal'))
}

/** Returns whether the value of an expression leaves its function: by itself, in a container, or under a local name. */
function isHandedOut(node: SyntaxNode, parents: Parents, seen: Set<SyntaxNode>): boolean {
  if (seen.has(node)) return false
  seen.add(node)
  const parent = parents.get(node)
  if (!parent) return false
  if (TRANSPARENT.has(parent.type)) return parent['test'] !== node && !isKey(node, parent) && isHandedOut(parent, parents, seen)
  switch (parent.type) {
    case 'ReturnStatement':
    case 'YieldExpression':
      return true
    case 'ArrowFunctionExpression':
      return parent['body'] === node
    case 'PropertyDefinition':
      return parent['value'] === node
    case 'NewExpression':
      return parent['callee'] !== node && !VIEW_CLASSES.test(nameOf(parent['callee']))
    case 'CallExpression':
      return isKept(node, parent)
    case 'VariableDeclarator':
      return parent['init'] === node && isNode(parent['id']) && isNameHandedOut(parent['id'], parents, seen)
    case 'AssignmentExpression':
      return parent['right'] === node && isNode(parent['left']) && isNameHandedOut(parent['left'], parents, seen)
    default:
      return false
  }
}

function isKey(node: SyntaxNode, parent: SyntaxNode): boolean {
  return parent.type === 'Property' && parent['key'] === node && parent['value'] !== node
}

function isKept(node: SyntaxNode, call: SyntaxNode): boolean {
  const args = Array.isArray(call['arguments']) ? call['arguments'] : []
  const method = memberName(call['callee'])
  return method !== undefined && args.includes(node) && (KEEPING.has(method) || (method === 'set' && args[1] === node))
}

/** Returns whether the value of a variable leaves the function: stored in an object or an outer variable, captured, or handed out by its name. */
function isNameHandedOut(target: SyntaxNode, parents: Parents, seen: Set<SyntaxNode>): boolean {
  if (target.type !== 'Identifier') return true
  const home = functionOf(target, parents)
  const isOwn = [...walk(home)].some(
    (node) => node.type === 'VariableDeclarator' && nameOf(node['id']) === nameOf(target) && functionOf(node, parents) === home,
  )
  if (!isOwn) return true
  for (const node of walk(home)) {
    if (node === target || nameOf(node) !== nameOf(target) || memberOf(node, parents)) continue
    if (isHandedOut(node, parents, seen)) return true
  }
  return false
}

/** Returns whether an identifier is only the name of a member: `x.name` or `{ name: … }`. */
function memberOf(node: SyntaxNode, parents: Parents): boolean {
  const parent = parents.get(node)
  if (!parent) return false
  return (parent.type === 'MemberExpression' && parent['property'] === node && parent['computed'] !== true) || isKey(node, parent)
}

function functionOf(node: SyntaxNode, parents: Parents): SyntaxNode {
  let at = node
  for (let up = parents.get(at); up; up = parents.get(at)) {
    at = up
    if (FUNCTIONS.has(at.type)) return at
  }
  return at
}

/** Returns the name of the innermost named function, method or member around a node. */
function functionName(node: SyntaxNode, parents: Parents): string {
  for (let at = functionOf(node, parents); parents.has(at); at = functionOf(at, parents)) {
    const holder = parents.get(at)
    const name = nameOf(at['id']) || nameOf(holder?.['key']) || nameOf(holder?.['id'])
    if (name) return name
  }
  return 'module'
}

function memberName(node: unknown): string | undefined {
  return isNode(node) && node.type === 'MemberExpression' ? nameOf(node['property']) : undefined
}

function nameOf(node: unknown): string {
  return isNode(node) && (node.type === 'Identifier' || node.type === 'PrivateIdentifier') && typeof node['name'] === 'string' ? node['name'] : ''
}
