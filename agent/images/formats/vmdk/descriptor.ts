// The descriptor of a vmdk: lines of text that name the variant, the extents and the parent of a disk.

import { startsWith } from '../format.ts'
import type { VmdkHeader } from './header.ts'

const DESCRIPTOR_START = '# disk descriptorfile'
/** Variants that are complete in one file. */
const MONOLITHIC_SPARSE = 'monolithicSparse'
const STREAM_OPTIMIZED = 'streamOptimized'
/** Fault of an extent whose descriptor is in another file. */
export const NO_DESCRIPTOR = 'it is an extent of another disk: it has no descriptor'
const NO_PARENT = 'ffffffff'
/** Matches an extent: access, sectors, type, and usually a file name and an offset. */
const EXTENT = /^(RW|RDONLY|NOACCESS)\s+(\d{1,20})\s+([A-Z0-9]+)(?:\s+"([^"]*)")?(?:\s+\d{1,20})?$/
const ASSIGNMENT = /^([A-Za-z][A-Za-z0-9._-]*)\s*=\s*(.*)$/
/** Characters that make the name of an extent a path, a protocol or a device. */
const PATH = /[/\\:]/
/** Keys that name another file. */
const FILE_KEYS = new Set(['parentfilenamehint', 'changetrackpath'])
/** Most lines that are read: those of an accepted disk are fewer than a hundred. Each line costs memory until the next collection. */
export const DESCRIPTOR_LINES_MAX = 4096
/**
 * Most bytes after the zero byte that may be left of a longer text. QEMU replaces the CID, 1 to 8 digits, in place, and ends a shorter text with a zero byte without
 * removing what follows (vmdk_write_cid in block/vmdk.c). They are too few for an extent or the name of a file.
 */
const REST_BYTES_MAX = 6
/** Characters of a line that are shown in a refusal. */
const SHOWN_MAX = 40

interface Extent {
  readonly access: string
  readonly sectors: number
  readonly type: string
  readonly file: string
}

export interface VmdkDescriptor {
  readonly extents: readonly Extent[]
  /** Sectors of all extents, 0 if they are beyond all bounds. */
  readonly sectors: number
  /** Null unless exactly one line names it. */
  readonly createType: string | null
  /** The first fault of its lines, as a clause. */
  readonly fault: string | undefined
}

/** Returns whether a file begins like a descriptor, by its first comment or by its first line of content, as QEMU recognises one. */
export function isDescriptorText(head: Uint8Array): boolean {
  const text = new TextDecoder('latin1').decode(head)
  if (text.slice(0, DESCRIPTOR_START.length).toLowerCase() === DESCRIPTOR_START) return true
  if (!startsWith(head, '#') && !startsWith(head, ' ') && !startsWith(head, 'version=') && !startsWith(head, '\n') && !startsWith(head, '\r')) return false
  const first = text.split('\n').find((line) => line.trim() !== '' && !line.startsWith('#'))
  return first !== undefined && /^version=[123]\r?$/.test(first)
}

/** Reads a descriptor, which ends at the first zero byte. A short rest of a longer text may follow. */
export function readDescriptor(bytes: Uint8Array): VmdkDescriptor {
  const end = bytes.indexOf(0)
  const text = new TextDecoder('latin1').decode(end < 0 ? bytes : bytes.subarray(0, end))
  if (text === '') return { extents: [], sectors: 0, createType: null, fault: NO_DESCRIPTOR }
  const extents: Extent[] = []
  const createTypes: string[] = []
  let fault = bytes.subarray(text.length + 1 + REST_BYTES_MAX).some((byte) => byte !== 0) ? 'bytes follow the end of its descriptor' : undefined
  let sectors = 0
  const lines = text.split('\n', DESCRIPTOR_LINES_MAX + 1)
  if (lines.length > DESCRIPTOR_LINES_MAX) fault ??= `its descriptor has more than ${DESCRIPTOR_LINES_MAX} lines`
  for (const raw of lines.slice(0, DESCRIPTOR_LINES_MAX)) {
    const line = raw.trim()
    if (line === '' || line.startsWith('#')) continue
    const [, access, count = '', type = '', file = ''] = EXTENT.exec(line) ?? []
    if (access !== undefined) {
      // Two extents are enough to refuse a disk.
      if (extents.length < 2) extents.push({ access, sectors: Number(count), type, file })
      sectors += Number(count)
      continue
    }
    const [, key, value = ''] = ASSIGNMENT.exec(line) ?? []
    if (key?.toLowerCase() === 'createtype') createTypes.push(value)
    fault ??= key === undefined ? `its descriptor has a line that is neither a setting nor an extent: ${shown(line)}` : settingFault(key, value)
  }
  // eslint-disable-next-line no-control-regex -- these are the characters that must not be there
  if (/[^\t\n\r\u0020-\u007e]/.test(text)) fault ??= 'its descriptor is not ASCII text'
  if (createTypes.length !== 1) fault ??= createTypes.length === 0 ? 'its descriptor names no createType' : 'its descriptor names several createTypes'
  const createType = createTypes.length === 1 ? unquoted(createTypes[0] ?? '') : null
  return { extents, sectors: Number.isSafeInteger(sectors * 512) ? sectors : 0, createType, fault }
}

/** Returns why a setting is refused. Other settings than these have no effect on where the data is. */
function settingFault(key: string, value: string): string | undefined {
  const name = key.toLowerCase()
  if (name === 'parentcid' && unquoted(value).toLowerCase() !== NO_PARENT) return 'it has a parent disk'
  if (name === 'parentfilenamehint') return 'it has a parent disk'
  return FILE_KEYS.has(name) ? `its descriptor names another file (${key})` : undefined
}

/** Returns the first contradiction within a descriptor, or between it and the header of its file. */
export function descriptorFault({ extents, createType, fault }: VmdkDescriptor, header: VmdkHeader): string | undefined {
  const [extent, ...others] = extents
  if (others.length > 0 || (extent && (extent.type !== 'SPARSE' || PATH.test(extent.file)))) return 'its data is in other files'
  if (fault !== undefined) return fault
  if (createType !== MONOLITHIC_SPARSE && createType !== STREAM_OPTIMIZED) {
    return `its createType ${shown(createType ?? '')} is not supported; only ${MONOLITHIC_SPARSE} and ${STREAM_OPTIMIZED} are`
  }
  if ((createType === STREAM_OPTIMIZED) !== header.isCompressed) return `its createType ${createType} contradicts its header`
  if (!extent) return 'its descriptor names no extent'
  if (extent.access === 'NOACCESS') return 'its extent must not be read (NOACCESS)'
  return extent.sectors === header.capacity ? undefined : `its extent has ${extent.sectors} sectors, but its header says ${header.capacity ?? 'none'}`
}

function unquoted(value: string): string {
  return /^"(.*)"$/.exec(value)?.[1] ?? value
}

/** Returns text of a file for a message: short, and without characters that could change how it looks. */
function shown(text: string): string {
  return `"${text.slice(0, SHOWN_MAX).replaceAll(/[^\u0020-\u007e]/g, '?')}"`
}
