// Requests at each bound that the document sets, for everything but images and uploads.

import { testWithSchemathesis } from './schemathesis.ts'

testWithSchemathesis('requests at the bounds, for everything else', { phases: ['coverage'], paths: 'others' })
