-- Requests to register, or for another password.  Each waits for its mail first
-- (waiting: 1), and then, with the digest of the token that the mail has, for
-- whoever got it.  Times are seconds since 1970 by the server's clock.

-- waiting is NULL, and not 0, once it is over: a key has any number of those.
-- The digest is SHA-256, the owner is who is about to send the mail.
CREATE TABLE IF NOT EXISTS account_request (
    id          BIGINT       NOT NULL AUTO_INCREMENT PRIMARY KEY,
    purpose     VARCHAR(8)   NOT NULL,
    email       VARCHAR(254) NOT NULL,
    lifetime    BIGINT       NOT NULL,
    asked       BIGINT       NOT NULL,
    expires     BIGINT       NOT NULL,
    waiting     BOOLEAN      NULL DEFAULT 1,
    due         BIGINT       NOT NULL,
    tries       INT          NOT NULL DEFAULT 0,
    owner       VARCHAR(22)  COLLATE ascii_bin NULL,
    owner_until BIGINT       NOT NULL DEFAULT 0,
    digest      CHAR(64)     COLLATE ascii_bin NULL,
    token_until BIGINT       NOT NULL DEFAULT 0,
    UNIQUE (email, purpose, waiting),
    UNIQUE (digest),
    INDEX (waiting, due),
    INDEX (expires)
) ENGINE = InnoDB CHARACTER SET ascii;
