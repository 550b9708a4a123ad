-- The users' table, as the tutorial has it; one that is there keeps its rows.

-- A hash of crypt(3) has at most 384 bytes (CRYPT_OUTPUT_SIZE).
CREATE TABLE IF NOT EXISTS user (
    id       INT          NOT NULL AUTO_INCREMENT PRIMARY KEY,
    email    VARCHAR(255) NOT NULL UNIQUE,
    password VARCHAR(384) NOT NULL
) ENGINE = InnoDB CHARACTER SET utf8mb4;

-- Fails on a table that is not such a one.
SELECT id, email, password FROM user LIMIT 0;

SELECT IF(MAX(character_maximum_length) < 384,
          'ALTER TABLE user MODIFY password VARCHAR(384) NOT NULL',
          'DO 0')
    INTO @v2m_change
    FROM information_schema.columns
    WHERE table_schema = DATABASE() AND table_name = 'user'
        AND column_name = 'password';
PREPARE v2m_change FROM @v2m_change;
EXECUTE v2m_change;
