// Validates the input of a request against the schemas of its route.

import type { z } from 'zod'
import { quoteName, suggestName } from '../../protocol/nearest.ts'
import { problem } from '../../protocol/problems.ts'
import type { ProblemError } from '../../protocol/problems.ts'
import { jsonSchema } from './openapi/json-schema.ts'
import type { JsonSchema } from './openapi/json-schema.ts'

/** Characters of an unknown member's name that `errors` repeats. */
const MEMBER_SHOWN_MAX = 100

/** Returns the validated value; undefined without a schema. Throws ProblemError `invalid-input` with an entry in `errors` for each member. */
export function validateInput(schema: z.ZodType | undefined, value: unknown, where: 'path' | 'query'): unknown {
  if (!schema) return undefined
  const result = schema.safeParse(value)
  if (result.success) return result.data
  throw refuse(
    where,
    result.error.issues.map(({ path, message }) => ({ member: path.join('.'), message })),
  )
}

/**
 * Returns the validated body. Throws ProblemError `invalid-input` with an entry in `errors` for each member. An unknown member comes first in
 * the detail, with the nearest known one: a misspelt name is often why another member seems to be missing.
 */
export function validateBody(schema: z.ZodType, value: unknown): unknown {
  const result = schema.safeParse(value)
  if (result.success) return result.data
  const { issues } = result.error
  const errors = issues.map((issue) => (issue.code === 'unrecognized_keys' ? describeUnknown(schema, value, issue) : entryOf(issue)))
  const first = issues.findIndex(({ code }) => code === 'unrecognized_keys')
  throw first < 0
    ? refuse('body', errors)
    : problem('invalid-input', errors[first]?.message ?? '', { errors: errors.map((error) => ({ in: 'body', ...error })) })
}

interface Entry {
  readonly member: string
  readonly message: string
}

function entryOf({ path, message }: z.core.$ZodIssue): Entry {
  return { member: path.join('.'), message }
}

function refuse(where: 'path' | 'query' | 'body', found: readonly Entry[]): ProblemError {
  const [first] = found
  const detail = `The ${where} is not valid: ${first?.member ? `${first.member}: ` : ''}${first?.message ?? 'unknown reason'}.`
  return problem('invalid-input', detail, { errors: found.map((error) => ({ in: where, ...error })) })
}

/** Describes the first of the unknown members of one object in a body. */
function describeUnknown(schema: z.ZodType, body: unknown, { path, keys }: z.core.$ZodIssueUnrecognizedKeys): Entry {
  const prefix = path.map((key) => `${String(key)}.`).join('')
  const name = prefix + (keys[0] ?? '')
  const known = membersAt(jsonSchema(schema, 'input'), body, path).map((member) => prefix + member)
  const message = `The body member ${quoteName(name)} is not known${suggestName(name, known, JSON.stringify)}`
  return { member: name.slice(0, MEMBER_SHOWN_MAX), message }
}

/** Returns the names of the members that a schema has at a path. */
function membersAt(schema: JsonSchema, value: unknown, [key, ...rest]: readonly PropertyKey[]): string[] {
  const found = new Set<string>()
  for (const form of formsOf(schema, value)) {
    const properties = isRecord(form['properties']) ? form['properties'] : {}
    if (key === undefined) for (const name of Object.keys(properties)) found.add(name)
    const below = typeof key === 'string' ? properties[key] : form['items']
    if (key !== undefined && isRecord(below)) for (const name of membersAt(below, memberOf(value, key), rest)) found.add(name)
  }
  return [...found]
}

/** Returns a schema and the alternatives in it whose constant members match the value. */
function formsOf(schema: JsonSchema, value: unknown): JsonSchema[] {
  const alternatives = [schema['anyOf'], schema['oneOf']].flatMap((list) => (Array.isArray(list) ? list.filter(isRecord) : []))
  const isMeant = ({ properties }: JsonSchema): boolean =>
    !isRecord(properties) ||
    Object.entries(properties).every(([name, member]) => !isRecord(member) || !('const' in member) || member['const'] === memberOf(value, name))
  return [schema, ...alternatives.filter(isMeant).flatMap((form) => formsOf(form, value))]
}

function memberOf(value: unknown, key: PropertyKey): unknown {
  return typeof value === 'object' && value !== null && Object.hasOwn(value, key) ? Reflect.get(value, key) : undefined
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
