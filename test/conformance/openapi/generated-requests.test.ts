// Requests that Schemathesis generates, alone and in sequences that use what earlier ones returned.

import { testWithSchemathesis } from './schemathesis.ts'

testWithSchemathesis('generated requests', { phases: ['examples', 'fuzzing', 'stateful'] })
