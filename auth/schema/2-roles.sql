-- Who is an administrator, who may not log in, and since when there is a user.

SELECT IF(COUNT(*) = 0,
          'ALTER TABLE user ADD COLUMN admin BOOLEAN NOT NULL DEFAULT 0',
          'DO 0')
    INTO @v2m_change
    FROM information_schema.columns
    WHERE table_schema = DATABASE() AND table_name = 'user'
        AND column_name = 'admin';
PREPARE v2m_change FROM @v2m_change;
EXECUTE v2m_change;

SELECT IF(COUNT(*) = 0,
          'ALTER TABLE user ADD COLUMN disabled BOOLEAN NOT NULL DEFAULT 0',
          'DO 0')
    INTO @v2m_change
    FROM information_schema.columns
    WHERE table_schema = DATABASE() AND table_name = 'user'
        AND column_name = 'disabled';
PREPARE v2m_change FROM @v2m_change;
EXECUTE v2m_change;

SELECT IF(COUNT(*) = 0,
          'ALTER TABLE user ADD COLUMN created TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP',
          'DO 0')
    INTO @v2m_change
    FROM information_schema.columns
    WHERE table_schema = DATABASE() AND table_name = 'user'
        AND column_name = 'created';
PREPARE v2m_change FROM @v2m_change;
EXECUTE v2m_change;
