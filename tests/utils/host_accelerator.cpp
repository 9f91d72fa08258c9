// An accelerator for tests: its memory is the host's, and its kernels are torch's CPU fallback.
#include <ATen/ATen.h>
#include <ATen/EmptyTensor.h>
#include <ATen/detail/PrivateUse1HooksInterface.h>
#include <ATen/native/CPUFallback.h>
#include <ATen/native/Resize.h>
#include <c10/core/impl/DeviceGuardImplInterface.h>
#include <torch/library.h>

namespace {

constexpr auto kType = c10::DeviceType::PrivateUse1;
constexpr c10::DeviceIndex kCount = 2;
const c10::DispatchKeySet kKeys(c10::DispatchKey::PrivateUse1);
thread_local c10::DeviceIndex current = 0;

c10::Device whole(c10::Device device) {
  return {kType, device.has_index() ? device.index() : current};
}

struct Memory final : c10::Allocator {
  c10::DataPtr allocate(size_t n) override {
    void* data = n ? std::malloc(n) : nullptr;
    return {data, data, &std::free, c10::Device(kType, current)};
  }
  c10::DeleterFnPtr raw_deleter() const override {
    return &std::free;
  }
  void copy_data(void* to, const void* from, size_t n) const override {
    std::memcpy(to, from, n);
  }
};
Memory memory;
REGISTER_ALLOCATOR(kType, &memory)

struct Guard final : c10::impl::DeviceGuardImplInterface {
  c10::DeviceType type() const override {
    return kType;
  }
  c10::Device getDevice() const override {
    return {kType, current};
  }
  void setDevice(c10::Device device) const override {
    TORCH_CHECK(device.index() < kCount, "no such device: ", device);
    current = whole(device).index();
  }
  void uncheckedSetDevice(c10::Device device) const noexcept override {
    current = whole(device).index();
  }
  c10::Device exchangeDevice(c10::Device device) const override {
    const auto last = getDevice();
    setDevice(device);
    return last;
  }
  c10::DeviceIndex deviceCount() const noexcept override {
    return kCount;
  }
  c10::Stream getStream(c10::Device device) const override {
    return c10::Stream(c10::Stream::DEFAULT, whole(device));
  }
  c10::Stream exchangeStream(c10::Stream stream) const override {
    return stream;
  }
  // Everything is done when it is asked for: an event is past as soon as it is recorded.
  void record(void** event, const c10::Stream& stream, c10::DeviceIndex index, c10::EventFlag)
      const override {
    TORCH_CHECK(index == -1 || index == stream.device_index(), "event and stream differ in device");
    *event = &memory;
  }
  void block(void*, const c10::Stream&) const override {}
  bool queryEvent(void*) const override {
    return true;
  }
  void synchronizeEvent(void*) const override {}
  void synchronizeStream(const c10::Stream&) const override {}
  void synchronizeDevice(c10::DeviceIndex) const override {}
};
C10_REGISTER_GUARD_IMPL(PrivateUse1, Guard)

struct Hooks final : at::PrivateUse1HooksInterface {
  bool isBuilt() const override {
    return true;
  }
  bool isAvailable() const override {
    return true;
  }
  bool hasPrimaryContext(c10::DeviceIndex) const override {
    return true;
  }
  c10::DeviceIndex deviceCount() const override {
    return kCount;
  }
};
const bool registered = (at::RegisterPrivateUse1HooksInterface(new Hooks), true);

at::Tensor empty(
    at::IntArrayRef size,
    std::optional<at::ScalarType> dtype,
    std::optional<at::Layout>,
    std::optional<at::Device> device,
    std::optional<bool>,
    std::optional<at::MemoryFormat> format) {
  const c10::DeviceGuard guard(device.value_or(c10::Device(kType)));
  return at::detail::empty_generic(
      size, &memory, kKeys, c10::dtype_or_default(dtype), format);
}

at::Tensor empty_strided(
    at::IntArrayRef size,
    at::IntArrayRef stride,
    std::optional<at::ScalarType> dtype,
    std::optional<at::Layout>,
    std::optional<at::Device> device,
    std::optional<bool>) {
  const c10::DeviceGuard guard(device.value_or(c10::Device(kType)));
  return at::detail::empty_strided_generic(
      size, stride, &memory, kKeys, c10::dtype_or_default(dtype));
}

// The same memory as a tensor of the CPU.
at::Tensor on_host(const at::Tensor& x) {
  if (x.is_cpu() || x.numel() == 0) {
    return x.is_cpu() ? x : at::empty(x.sizes(), x.options().device(at::kCPU));
  }
  return at::from_blob(x.data_ptr(), x.sizes(), x.strides(), x.options().device(at::kCPU));
}

at::Tensor copy_from(const at::Tensor& from, const at::Tensor& to, bool) {
  on_host(to).copy_(on_host(from));
  return to;
}

at::Tensor copy_from_and_resize(const at::Tensor& from, const at::Tensor& to) {
  to.resize_(from.sizes());
  return copy_from(from, to, false);
}

const at::Tensor& resize_(
    const at::Tensor& self, at::IntArrayRef size, std::optional<at::MemoryFormat> format) {
  const c10::DeviceGuard guard(self.device());  // where the allocator is to allocate
  return at::native::resize_(self, size, format);
}

at::Tensor& set_storage(at::Tensor& to, at::Storage storage) {
  const int64_t n = storage.nbytes() / to.element_size();
  return at::native::set_storage_cpu_(to, storage, 0, {n}, {1});
}

// The fallback would take tensors from anywhere; a real device does not.
void check_devices(const c10::OperatorHandle& op, const torch::jit::Stack& stack) {
  const auto arguments = torch::jit::last(stack, op.schema().arguments().size());
  std::optional<c10::Device> first;
  for (const auto& argument : arguments) {
    if (!argument.isTensor() || !argument.toTensor().defined() || argument.toTensor().dim() == 0) {
      continue;
    }
    const auto device = argument.toTensor().device();
    TORCH_CHECK(
        device == first.value_or(device), op.schema().name(), ": ", *first, " and ", device);
    first = device;
  }
}

void fallback(const c10::OperatorHandle& op, torch::jit::Stack* stack) {
  check_devices(op, *stack);
  at::native::cpu_fallback(op, stack);
}

TORCH_LIBRARY_IMPL(_, PrivateUse1, m) {
  m.fallback(torch::CppFunction::makeFromBoxedFunction<&fallback>());
}

TORCH_LIBRARY_IMPL(aten, PrivateUse1, m) {
  m.impl("empty.memory_format", empty);
  m.impl("empty_strided", empty_strided);
  m.impl("_copy_from", copy_from);
  m.impl("_copy_from_and_resize", copy_from_and_resize);
  m.impl("as_strided", at::native::as_strided_tensorimpl);
  m.impl("view", at::native::view);
  m.impl("_reshape_alias", at::native::_reshape_alias);
  m.impl("set_.source_Storage", set_storage);
  m.impl("set_.source_Storage_storage_offset", at::native::set_storage_cpu_);
  m.impl("resize_", resize_);
}

} // namespace
