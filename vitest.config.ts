import { defineConfig } from 'vitest/config';

// Real servers share two cores: files of the slow projects run one after another, so that a load
// in one file is never read as a slow Redis in another.
const slow = { fileParallelism: false, testTimeout: 60_000, hookTimeout: 60_000 };
const project = (name: string, options: object = {}) => ({
  test: { name, include: [`test/${name}/**/*.test.ts`], environment: 'node', ...options },
});

export default defineConfig({
  test: {
    globalSetup: ['test/support/global-setup.ts'],
    projects: [
      project('unit'),
      project('conformance', slow),
      project('outage', slow),
      project('docs', slow),
      project('browser', slow),
      project('peers', slow),
      project('consistency', { ...slow, testTimeout: 180_000 }),
    ],
  },
});
