// libcrypto's message digests. Imported by Sources/Model/Data/SHA256.swift alone.
#pragma once
#include <openssl/evp.h>
