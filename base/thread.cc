#include "base/thread.h"

#include <pthread.h>

#include <algorithm>
#include <utility>

namespace weighhouse {

std::jthread StartThread(std::string name, std::function<void(std::stop_token)> body) {
  name.resize(std::min<size_t>(name.size(), 15));
  return std::jthread([name = std::move(name), body = std::move(body)](std::stop_token stop) {
    pthread_setname_np(pthread_self(), name.c_str());
    body(std::move(stop));
  });
}

}  // namespace weighhouse
