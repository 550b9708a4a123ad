/*
 * The keys for tokens, as directives and the environment name them.
 */

#ifndef NGX_HTTP_V2M_KEYS_H
#define NGX_HTTP_V2M_KEYS_H

#include "ngx_http_v2m_module.h"

/* Reads all keys into mcf->keys, or logs what is wrong with them; for
 * postconfiguration.  mcf owns them, also when this fails. */
ngx_int_t ngx_http_v2m_keys_read(ngx_conf_t *cf, ngx_http_v2m_main_conf_t *mcf);

#endif /* NGX_HTTP_V2M_KEYS_H */
