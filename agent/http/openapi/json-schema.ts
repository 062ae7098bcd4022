// Converts the zod schemas of routes to JSON Schema (draft 2020-12).

import { z } from 'zod'

export type JsonSchema = Readonly<Record<string, unknown>>

/** Returns the JSON Schema of a value before (`input`) or after (`output`) validation. */
export function jsonSchema(schema: z.ZodType, io: 'input' | 'output'): JsonSchema {
  const { $schema: _dialect, ...rest } = z.toJSONSchema(schema, { target: 'draft-2020-12', io, unrepresentable: 'any' })
  return rest
}

/** Returns the member schemas of an object schema; empty for other schemas. */
export function propertiesOf(schema: JsonSchema): Readonly<Record<string, unknown>> {
  const { properties } = schema
  return typeof properties === 'object' && properties !== null ? { ...properties } : {}
}
