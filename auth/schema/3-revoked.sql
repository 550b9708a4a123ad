-- Tokens that are good no longer though they have not expired: one ("token",
-- whose name is a digest), or all of a user ("user", whose name is the e-mail
-- address) that were issued up to then.  Times are seconds since 1970.

CREATE TABLE IF NOT EXISTS revoked (
    id      BIGINT         NOT NULL AUTO_INCREMENT PRIMARY KEY,
    what    VARCHAR(8)     NOT NULL,
    name    VARBINARY(255) NOT NULL,
    issued  BIGINT         NOT NULL,
    expires BIGINT         NOT NULL,
    added   BIGINT         NOT NULL,
    INDEX (added),
    INDEX (expires)
) ENGINE = InnoDB CHARACTER SET utf8mb4;
