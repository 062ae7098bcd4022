// Requests at each bound that the document sets, for images and uploads.

import { testWithSchemathesis } from './schemathesis.ts'

testWithSchemathesis('requests at the bounds, for images and uploads', { phases: ['coverage'], paths: 'images' })
