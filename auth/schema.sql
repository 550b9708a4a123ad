-- The users' table, the list of revoked tokens, and the two database users that
-- work with them.
--
-- Run by an administrator of MariaDB or MySQL 8; may be run again at any
-- time, also over the tutorial's table, which keeps its rows:
--
--   { echo "SET @v2m_password='…', @v2m_admin_password='…';"; \
--     cat auth/schema.sql; } | mariadb
--
--   @v2m_password        of "v2m", the gateway's user: reads both tables, adds
--                        to the list, and writes the column password, to renew
--                        old hashes
--   @v2m_admin_password  of "v2m_admin", the user for v2m-user: also writes
--
-- A database user whose variable is not set is neither made nor changed; one
-- that exists gets the new password.

CREATE DATABASE IF NOT EXISTS auth CHARACTER SET utf8mb4;

-- A hash of crypt(3) has at most 384 bytes (CRYPT_OUTPUT_SIZE).
CREATE TABLE IF NOT EXISTS auth.user (
    id       INT          NOT NULL AUTO_INCREMENT PRIMARY KEY,
    email    VARCHAR(255) NOT NULL UNIQUE,
    password VARCHAR(384) NOT NULL,
    admin    BOOLEAN      NOT NULL DEFAULT 0,
    disabled BOOLEAN      NOT NULL DEFAULT 0,
    created  TIMESTAMP    NOT NULL DEFAULT CURRENT_TIMESTAMP
) ENGINE = InnoDB CHARACTER SET utf8mb4;

-- Tokens that are good no longer though they have not expired: one ("token",
-- whose name is a digest), or all of a user ("user", whose name is the e-mail
-- address) that were issued up to then. Times are seconds since 1970.
CREATE TABLE IF NOT EXISTS auth.revoked (
    id      BIGINT         NOT NULL AUTO_INCREMENT PRIMARY KEY,
    what    VARCHAR(8)     NOT NULL,
    name    VARBINARY(255) NOT NULL,
    issued  BIGINT         NOT NULL,
    expires BIGINT         NOT NULL,
    added   BIGINT         NOT NULL,
    INDEX (added),
    INDEX (expires)
) ENGINE = InnoDB CHARACTER SET utf8mb4;

-- What a users' table that was there before lacks. MySQL has no ADD COLUMN IF NOT
-- EXISTS, so each change is a statement made by a look at the table.

SELECT IF(MAX(character_maximum_length) < 384,
          'ALTER TABLE auth.user MODIFY password VARCHAR(384) NOT NULL',
          'DO 0')
    INTO @v2m_change
    FROM information_schema.columns
    WHERE table_schema = 'auth' AND table_name = 'user'
        AND column_name = 'password';
PREPARE v2m_change FROM @v2m_change;
EXECUTE v2m_change;

SELECT IF(COUNT(*) = 0,
          'ALTER TABLE auth.user ADD COLUMN admin BOOLEAN NOT NULL DEFAULT 0',
          'DO 0')
    INTO @v2m_change
    FROM information_schema.columns
    WHERE table_schema = 'auth' AND table_name = 'user'
        AND column_name = 'admin';
PREPARE v2m_change FROM @v2m_change;
EXECUTE v2m_change;

SELECT IF(COUNT(*) = 0,
          'ALTER TABLE auth.user ADD COLUMN disabled BOOLEAN NOT NULL DEFAULT 0',
          'DO 0')
    INTO @v2m_change
    FROM information_schema.columns
    WHERE table_schema = 'auth' AND table_name = 'user'
        AND column_name = 'disabled';
PREPARE v2m_change FROM @v2m_change;
EXECUTE v2m_change;

SELECT IF(COUNT(*) = 0,
          'ALTER TABLE auth.user ADD COLUMN created TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP',
          'DO 0')
    INTO @v2m_change
    FROM information_schema.columns
    WHERE table_schema = 'auth' AND table_name = 'user'
        AND column_name = 'created';
PREPARE v2m_change FROM @v2m_change;
EXECUTE v2m_change;

-- The gateway's user. CREATE leaves an existing user as it is, therefore
-- ALTER sets the password.

SET @v2m_change = IF(@v2m_password IS NULL, 'DO 0',
    CONCAT('CREATE USER IF NOT EXISTS ''v2m''@''%'' IDENTIFIED BY ',
           QUOTE(@v2m_password)));
PREPARE v2m_change FROM @v2m_change;
EXECUTE v2m_change;

SET @v2m_change = IF(@v2m_password IS NULL, 'DO 0',
    CONCAT('ALTER USER ''v2m''@''%'' IDENTIFIED BY ', QUOTE(@v2m_password)));
PREPARE v2m_change FROM @v2m_change;
EXECUTE v2m_change;

SET @v2m_change = IF(@v2m_password IS NULL, 'DO 0',
    'GRANT SELECT, UPDATE (password) ON auth.user TO ''v2m''@''%''');
PREPARE v2m_change FROM @v2m_change;
EXECUTE v2m_change;

SET @v2m_change = IF(@v2m_password IS NULL, 'DO 0',
    'GRANT SELECT, INSERT ON auth.revoked TO ''v2m''@''%''');
PREPARE v2m_change FROM @v2m_change;
EXECUTE v2m_change;

-- The user for v2m-user.

SET @v2m_change = IF(@v2m_admin_password IS NULL, 'DO 0',
    CONCAT('CREATE USER IF NOT EXISTS ''v2m_admin''@''%'' IDENTIFIED BY ',
           QUOTE(@v2m_admin_password)));
PREPARE v2m_change FROM @v2m_change;
EXECUTE v2m_change;

SET @v2m_change = IF(@v2m_admin_password IS NULL, 'DO 0',
    CONCAT('ALTER USER ''v2m_admin''@''%'' IDENTIFIED BY ',
           QUOTE(@v2m_admin_password)));
PREPARE v2m_change FROM @v2m_change;
EXECUTE v2m_change;

SET @v2m_change = IF(@v2m_admin_password IS NULL, 'DO 0',
    'GRANT SELECT, INSERT, UPDATE, DELETE ON auth.user TO ''v2m_admin''@''%''');
PREPARE v2m_change FROM @v2m_change;
EXECUTE v2m_change;

SET @v2m_change = IF(@v2m_admin_password IS NULL, 'DO 0',
    'GRANT SELECT, INSERT, DELETE ON auth.revoked TO ''v2m_admin''@''%''');
PREPARE v2m_change FROM @v2m_change;
EXECUTE v2m_change;

DEALLOCATE PREPARE v2m_change;
