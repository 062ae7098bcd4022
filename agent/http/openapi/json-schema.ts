// JSON Schema (draft 2020-12) of what the routes validate with zod.

import { z } from 'zod'

export type JsonSchema = Readonly<Record<string, unknown>>

/** The schema of what comes in (`input`) or of what validation makes of it (`output`). */
export function jsonSchema(schema: z.ZodType, io: 'input' | 'output'): JsonSchema {
  const { $schema: _dialect, ...rest } = z.toJSONSchema(schema, { target: 'draft-2020-12', io, unrepresentable: 'any' })
  return rest
}

/** The members of an object's schema. */
export function propertiesOf(schema: JsonSchema): Readonly<Record<string, unknown>> {
  const { properties } = schema
  return typeof properties === 'object' && properties !== null ? { ...properties } : {}
}
