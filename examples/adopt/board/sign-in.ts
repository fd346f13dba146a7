import passport from 'passport';
import { Strategy } from 'passport-local';
import type { Pool } from 'pg';

import { type Account, checkPassword, findAccount } from './accounts.ts';

declare global {
  namespace Express {
    interface User extends Account {}
  }
}

declare module 'express-session' {
  interface SessionData {
    /** Where somebody wanted to go who had to sign in first; passport reads it. */
    returnTo: string;
    /** The newest notice that was seen. */
    seen: number;
    passport: { user?: number };
  }
}

/** Passport as its guide has it: a name and a password, and the account's id in the session. */
export function createPassport(pool: Pool): passport.PassportStatic {
  passport.use(
    new Strategy(async (name, password, done) => {
      try {
        const account = await checkPassword(pool, name, password);
        done(null, account ?? false, { message: 'Wrong name or password' });
      } catch (error) {
        done(error);
      }
    }),
  );
  passport.serializeUser((user, done) => done(null, user.id));
  passport.deserializeUser(async (id: number, done) => {
    try {
      done(null, (await findAccount(pool, id)) ?? false);
    } catch (error) {
      done(error);
    }
  });
  return passport;
}
