// Whether an image passes the filters of a list. Filters are prepared once for each request, because a list tests every image of the store.

import type { Image } from '../../../protocol/images/image.ts'
import { systemId } from '../../../protocol/images/operating-systems.ts'
import { parseLabelFilter } from '../../../protocol/images/image-list.ts'
import type { ImageFilter } from '../../../protocol/images/image-list.ts'

type Test = (image: Image) => boolean

/** Returns the test of a filter. Images in the recycle bin pass only with `status=deleted`. */
export function imageTest(filter: ImageFilter): Test {
  const { status } = filter
  const tests: Test[] = [status === undefined ? (image) => image.status !== 'deleted' : (image) => image.status === status, ...memberTests(filter)]
  return (image) => {
    for (const test of tests) if (!test(image)) return false
    return true
  }
}

function memberTests(filter: ImageFilter): Test[] {
  const tests: Test[] = []
  const add = <Value>(value: Value | undefined, make: (value: Value) => Test): void => {
    if (value !== undefined) tests.push(make(value))
  }
  add(filter.name, (name) => (image) => image.name === name)
  add(filter.kind, (kind) => (image) => image.kind === kind)
  add(filter.format, (format) => (image) => image.format === format)
  add(filter.owner, (owner) => (image) => (image.owner ?? '') === owner)
  add(filter.os, systemTest)
  add(filter.mediaGroup, (group) => (image) => (image.mediaGroup ?? '') === group)
  add(filter.sourceInstance, (instance) => (image) => (image.sourceInstance ?? '') === instance)
  add(filter.instance, (instance) => (image) => image.bindings.includes(instance))
  add(filter.source, (source) => (image) => image.source.kind === source)
  add(filter.cloudInit, (flag) => (image) => (image.cloudInit ?? false) === (flag === 'true'))
  add(filter.protected, (flag) => (image) => image.protected === (flag === 'true'))
  add(filter.search, searchTest)
  add(filter.label, labelTest)
  add(filter.cpus, (cpus) => (image) => (image.requirements?.cpus ?? 0) <= cpus)
  add(filter.memory, (memory) => (image) => (image.requirements?.memory ?? 0) <= memory)
  add(filter.disk, (disk) => (image) => (image.requirements?.disk ?? 0) <= disk)
  add(filter.createdAfter, (time) => laterTest(Date.parse(time), 1))
  add(filter.createdBefore, (time) => laterTest(Date.parse(time), -1))
  return tests
}

/** A filter may name a system as people write it. */
function systemTest(text: string): Test {
  const id = systemId(text)
  return ({ os }) => (os ?? '') === id
}

function searchTest(text: string): Test {
  const isFound = textTest(text)
  return ({ name, description }) => isFound(name) || (description !== '' && isFound(description))
}

/** Returns the test whether a text has another one in it, in any case. */
function textTest(text: string): (within: string) => boolean {
  const sought = text.toLowerCase()
  // A list tests every image: an expression finds the few texts that are worth a copy in small letters. It folds the case of ASCII characters only.
  const candidate = new RegExp(`${RegExp.escape(sought)}|[^\\x00-\\x7f]`, 'i')
  return (within) => candidate.test(within) && within.toLowerCase().includes(sought)
}

function labelTest(text: string): Test {
  const sought = parseLabelFilter(text)
  return ({ labels }) => sought.every(({ key, value }) => (Object.hasOwn(labels, key) ? value === undefined || labels[key] === value : false))
}

function laterTest(timeMs: number, sign: 1 | -1): Test {
  return ({ createdAt }) => (Date.parse(createdAt) - timeMs) * sign > 0
}
