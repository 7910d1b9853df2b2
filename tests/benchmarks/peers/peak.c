/* The most that this processor computes: products of int8 and of fp32, out of registers alone.
 *
 *     cc -O2 -march=native -pthread peak.c -o peak && ./peak THREADS
 *
 * Prints two numbers, billions of operations a second of all threads together, where a
 * multiplication and an addition are two: int8 with sums in 32 bits, by a matrix unit (AMX) where
 * there is one, then fp32. Each is the best of several tries.
 */

#include <immintrin.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#if defined(__AMX_INT8__) && defined(__linux__)
#include <sys/syscall.h>
#include <unistd.h>
#endif

#if defined(__AVX512F__)
typedef __m512i ints;
typedef __m512 floats;
#define INTS_ZERO _mm512_setzero_si512()
#define FLOATS_ZERO _mm512_setzero_ps()
#define FP32_MULTIPLY_ADD(sum, a, b) _mm512_fmadd_ps(a, b, sum)
#else
typedef __m256i ints;
typedef __m256 floats;
#define INTS_ZERO _mm256_setzero_si256()
#define FLOATS_ZERO _mm256_setzero_ps()
#define FP32_MULTIPLY_ADD(sum, a, b) _mm256_fmadd_ps(a, b, sum)
#endif

#if defined(__AVX512F__) && defined(__AVX512VNNI__)
#define INT8_MULTIPLY_ADD(sum, a, b) _mm512_dpbusd_epi32(sum, a, b)
#elif defined(__AVX512BW__)
#define INT8_MULTIPLY_ADD(sum, a, b) \
  _mm512_add_epi32(sum, _mm512_madd_epi16(_mm512_maddubs_epi16(a, b), _mm512_set1_epi16(1)))
#elif defined(__AVXVNNI__)
#define INT8_MULTIPLY_ADD(sum, a, b) _mm256_dpbusd_avx_epi32(sum, a, b)
#else
#define INT8_MULTIPLY_ADD(sum, a, b) \
  _mm256_add_epi32(sum, _mm256_madd_epi16(_mm256_maddubs_epi16(a, b), _mm256_set1_epi16(1)))
#endif

/* Sums at once, enough to hide what one takes, and few enough for the registers. */
#define CHAINS 12
enum { STEPS = 10000000, TRIES = 5 };

static double now(void) {
  struct timespec at;
  clock_gettime(CLOCK_MONOTONIC, &at);
  return at.tv_sec + at.tv_nsec * 1e-9;
}

/* The empty instructions keep the compiler from knowing the factors, and from dropping the sums. */
#define LOOP(kind, zero, multiply_add)                                                \
  kind sums[CHAINS], a = zero, b = zero;                                              \
  for (int chain = 0; chain < CHAINS; chain++) sums[chain] = zero;                    \
  for (int step = 0; step < STEPS; step++) {                                          \
    __asm__ volatile("" : "+x"(a), "+x"(b));                                          \
    _Pragma("GCC unroll 12") for (int chain = 0; chain < CHAINS; chain++)             \
        sums[chain] = multiply_add(sums[chain], a, b);                                \
  }                                                                                   \
  for (int chain = 0; chain < CHAINS; chain++) __asm__ volatile("" : : "x"(sums[chain]))

#if defined(__AMX_INT8__) && defined(__linux__)
/* Two tiles by two, each of 16 rows of 64 bytes: four sums, of which none waits for another. */
#define INT8_PRODUCTS ((double)STEPS * 4 * 16 * 16 * 64)
enum { ASK_FOR_STATE = 0x1023, OF_TILES = 18 }; /* arch_prctl: Linux keeps tiles on request */

static void *in_int8(void *nothing) {
  struct {
    unsigned char palette, start_row, reserved[14];
    unsigned short bytes[16];
    unsigned char rows[16];
  } shape = {.palette = 1};
  for (int tile = 0; tile < 8; tile++) shape.bytes[tile] = 64, shape.rows[tile] = 16;
  if (syscall(SYS_arch_prctl, ASK_FOR_STATE, OF_TILES) != 0) abort();
  _tile_loadconfig(&shape);
  _tile_zero(4);
  _tile_zero(5);
  _tile_zero(6);
  _tile_zero(7);
  for (int step = 0; step < STEPS; step++) {
    _tile_dpbusd(0, 4, 6);
    _tile_dpbusd(1, 4, 7);
    _tile_dpbusd(2, 5, 6);
    _tile_dpbusd(3, 5, 7);
  }
  _tile_release();
  return nothing;
}
#else
#define INT8_PRODUCTS ((double)STEPS * CHAINS * sizeof(ints))

static void *in_int8(void *nothing) {
  LOOP(ints, INTS_ZERO, INT8_MULTIPLY_ADD);
  return nothing;
}
#endif

static void *in_fp32(void *nothing) {
  LOOP(floats, FLOATS_ZERO, FP32_MULTIPLY_ADD);
  return nothing;
}

static double best(void *(*work)(void *), int threads, double products) {
  double most = 0;
  for (int try = 0; try < TRIES; try++) {
    pthread_t ids[threads];
    double began = now();
    for (int i = 0; i < threads; i++) {
      if (pthread_create(&ids[i], NULL, work, NULL) != 0) abort();
    }
    for (int i = 0; i < threads; i++) pthread_join(ids[i], NULL);
    double rate = 2 * products * threads / (now() - began) / 1e9;
    if (rate > most) most = rate;
  }
  return most;
}

int main(int count, char **arguments) {
  int threads = count > 1 ? atoi(arguments[1]) : 1;
  printf("%.1f %.1f\n", best(in_int8, threads, INT8_PRODUCTS),
         best(in_fp32, threads, (double)STEPS * CHAINS * sizeof(floats) / sizeof(float)));
  return 0;
}
