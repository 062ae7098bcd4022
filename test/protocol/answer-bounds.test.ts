// The bounds of what agents answer, as literals: a client refuses an answer beyond them, so one that moves cuts off stores of another version.

import { expect, test } from 'bun:test'
import { z } from 'zod'
import { exportSchema } from '../../protocol/images/export.ts'
import { imageSchema, uniqueSizeSchema } from '../../protocol/images/image.ts'
import { importPlanSchema } from '../../protocol/images/imports.ts'
import { mediaGroupSchema } from '../../protocol/images/media-group.ts'
import { fileSchema } from '../../protocol/file.ts'
import { problemSchema } from '../../protocol/problems.ts'
import { storeStateSchema } from '../../protocol/store-state.ts'
import { storeSchema } from '../../protocol/store.ts'
import { taskSchema } from '../../protocol/task.ts'
import { linkStatusSchema } from '../../protocol/upload-link.ts'
import { uploadSchema } from '../../protocol/upload.ts'

interface Schema {
  readonly minLength?: number
  readonly maxLength?: number
  readonly minimum?: number
  readonly maximum?: number
  readonly minItems?: number
  readonly maxItems?: number
  readonly properties?: Readonly<Record<string, Schema>>
  readonly items?: Schema
  readonly anyOf?: readonly Schema[]
  readonly additionalProperties?: Schema
}

/** Bounds that say no more than that a number is whole. */
const isWritten = (bound: number | undefined): bound is number => bound !== undefined && Math.abs(bound) !== Number.MAX_SAFE_INTEGER

/** Returns the bounds of the members of a schema as text: lengths as `name 1-255`, numbers as `status 100..599`, items as `urls[0-32]`. */
function boundsOf(schema: Schema, path = ''): string[] {
  const { minLength, maxLength, minimum, maximum, minItems, maxItems, properties = {}, items, anyOf = [], additionalProperties } = schema
  return [
    ...(isWritten(maxLength) ? [`${path} ${minLength ?? 0}-${maxLength}`] : []),
    ...(isWritten(minimum) || isWritten(maximum) ? [`${path} ${minimum ?? ''}..${isWritten(maximum) ? maximum : ''}`] : []),
    ...(isWritten(maxItems) ? [`${path}[${minItems ?? 0}-${maxItems}]`] : []),
    ...Object.entries(properties).flatMap(([name, member]) => boundsOf(member, path === '' ? name : `${path}.${name}`)),
    ...(items ? boundsOf(items, `${path}[]`) : []),
    ...anyOf.flatMap((one) => boundsOf(one, path)),
    ...(typeof additionalProperties === 'object' ? boundsOf(additionalProperties, `${path}{}`) : []),
  ]
}

test.each([
  ['an export', exportSchema, ['length 0..']],
  [
    'an image',
    imageSchema,
    [
      'name 1-255',
      'description 0-4096',
      'formatDetails.clusterSize 0..',
      'formatDetails.allocatedSize 0..',
      'length 0..',
      'virtualSize 0..',
      'storedSize 0..',
      'uniqueSize 0..',
      'os 0-255',
      'requirements.cpus 1..',
      'requirements.memory 0..',
      'requirements.disk 0..',
      'mediaGroup 0-255',
      'owner 0-255',
      'labels{} 0-255',
      'sourceInstance 1-255',
    ],
  ],
  ['a unique size', uniqueSizeSchema, ['uniqueSize 0..']],
  [
    'the plan of an import',
    importPlanSchema,
    [
      'source.length 0..',
      'image.name 1-255',
      'image.description 0-4096',
      'image.os 0-255',
      'image.mediaGroup 0-255',
      'image.owner 0-255',
      'image.requirements.cpus 1..',
      'image.requirements.memory 0..',
      'image.requirements.disk 0..',
      'image.labels{} 0-255',
      'image.sourceInstance 1-255',
      'space.neededBytes 0..',
      'limits.imagesPerOwnerMax 0..',
      'limits.bytesPerOwnerMax 0..',
    ],
  ],
  ['a media group', mediaGroupSchema, ['images 0..']],
  ['a file', fileSchema, ['length 0..']],
  ['a problem', problemSchema, ['status 100..599']],
  [
    'a task',
    taskSchema,
    [
      'progress.done 0..',
      'progress.total 0..',
      'progress.rate 0..',
      'progress.etaSeconds 0..',
      'order.images[1-1000]',
      'order.images[] 1-255',
      'order.limits.bytesPerSecond 65536..1000000000000',
      'order.limits.hours[1-16]',
      'order.limits.hours[].cron 9-120',
      'order.limits.hours[].minutes 1..10080',
      'error.status 100..599',
      'children[].progress.done 0..',
      'children[].progress.total 0..',
      'children[].error.status 100..599',
    ],
  ],
  ['an upload', uploadSchema, ['offset 0..', 'length 0..', 'rate 0..', 'etaSeconds 0..']],
  ['the status of a link', linkStatusSchema, ['maxLength 1..', 'upload.offset 0..', 'upload.length 0..']],
  [
    'a store',
    storeSchema,
    [
      'name 1-255',
      'protocol.sync[1-64]',
      'protocol.key 0-256',
      'imagesFingerprint 0-64',
      'networks.listen.urls[0-32]',
      'networks.listen.urls[] 0-256',
      'networks.data.cidr 0-64',
      'networks.data.urls[0-32]',
      'networks.data.urls[] 0-256',
      'networks.sync.cidr 0-64',
      'networks.sync.urls[0-32]',
      'networks.sync.urls[] 0-256',
      'origins[].name 1-255',
      'partners[].name 1-255',
      'sync.hours[].cron 9-120',
      'sync.hours[].minutes 1..10080',
      'sync.configured.hours[].cron 9-120',
      'sync.configured.hours[].minutes 1..10080',
    ],
  ],
  [
    'tasks in a state',
    storeStateSchema.shape.tasks,
    [
      'running 0..',
      'queued 0..',
      'items[0-20]',
      'items[].id 0-64',
      'items[].subject 0-256',
      'items[].createdBy 0-256',
      'items[].progress.done 0..',
      'items[].progress.total 0..',
      'items[].progress.rate 0..',
      'items[].progress.etaSeconds 0..',
    ],
  ],
] as const)('the bounds of %s', (_what, schema, bounds) => {
  expect(boundsOf(z.toJSONSchema(schema, { io: 'input', unrepresentable: 'any' }) as Schema)).toEqual([...bounds])
})
