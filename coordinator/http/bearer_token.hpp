// BEARER TOKEN: the secret that clients show to be heard (RFC 6750). Plain.
// Invariant: how long it takes to compare says neither its length nor how much of it was right.
#pragma once

#include "coordinator/http/server/task.hpp"

#include <string>

namespace gristmill::coordinator {

class BearerToken {
public:
  explicit BearerToken(std::string token) : token_{std::move(token)} {} // empty: none is needed

  bool is_needed() const { return !token_.empty(); }
  bool is_shown_by(const HttpHeaders& headers) const; // or not needed

private:
  std::string token_;
};

// 401: the token was not shown.
HttpResponse no_token();

} // namespace gristmill::coordinator
